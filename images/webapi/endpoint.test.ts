import fc from 'fast-check';
import { route } from './endpoint.ts';
import { parseTarget } from './target.ts';

function routed(method: string, raw: string, contentType?: string): string {
  const result = parseTarget(raw);
  if (result.kind === 'invalid') return 'invalid';
  const routing = route(method, result.target, contentType);
  if (routing.kind !== 'found') return routing.kind;
  const { endpoint } = routing;
  return endpoint.kind === 'entry'
    ? `${endpoint.verb} ${endpoint.root}${endpoint.isRoot ? ' root' : ''}`
    : endpoint.kind;
}

test.each([
  ['GET', '/ping', undefined, 'ping'],
  ['PUT', '/ping', undefined, 'wrongMethod'],
  ['GET', '/', undefined, 'unknown'],
  ['GET', '/alice', undefined, 'accountRoot'],
  ['DELETE', '/alice/', undefined, 'accountRoot'],
  ['OPTIONS', '/alice', undefined, 'wrongMethod'],
  ['GET', '/alice/stor', undefined, 'get stor root'],
  ['GET', '/alice/stor/', undefined, 'get stor root'],
  ['GET', '/alice/storx', undefined, 'unknown'],
  ['GET', '/1alice/stor', undefined, 'unknown'],
  ['GET', '/a.b-c@d_e/stor/x', undefined, 'get stor'],
  ['HEAD', '/alice/public/x', undefined, 'head public'],
  ['DELETE', '/alice/reports/x', undefined, 'delete reports'],
  ['OPTIONS', '/alice/stor/x', undefined, 'options stor'],
  ['POST', '/alice/stor/x', undefined, 'wrongMethod'],
  ['PATCH', '/alice/stor/x', undefined, 'wrongMethod'],
  ['PUT', '/alice/stor/x', undefined, 'putobject stor'],
  ['PUT', '/alice/stor/x?metadata=true', undefined, 'putmetadata stor'],
  ['PUT', '/alice/stor/x?metadata=', undefined, 'putobject stor'],
  ['PUT', '/alice/stor/x', 'application/json; type=directory', 'putdirectory stor'],
  ['PUT', '/alice/stor/x', 'application/json;type=directory; charset=utf-8', 'putdirectory stor'],
  ['PUT', '/alice/stor/x', 'application/json; type=link', 'putlink stor'],
  ['PUT', '/alice/stor/x', 'application/json; type=links', 'putobject stor'],
  ['PUT', '/alice/stor/x', 'application/x-json-stream; type=directory', 'putobject stor'],
  ['PUT', '/alice/jobs/1/stor/x', undefined, 'putobject jobs'],
  ['GET', '/alice/jobs', undefined, 'get jobs root'],
  ['GET', '/alice/jobs?state=running', undefined, 'unknown'],
  ['POST', '/alice/jobs', 'application/json', 'unknown'],
  ['POST', '/alice/jobs/1/live/cancel', undefined, 'unknown'],
  ['POST', '/alice/uploads', 'application/json', 'unknown'],
  ['HEAD', '/alice/uploads/0', undefined, 'unknown'],
  ['POST', '/alice/tokens', undefined, 'unknown'],
  ['GET', '/alice/medusa/attach/1/master', undefined, 'unknown'],
])('%s %s with type %s is routed to: %s', (method, raw, contentType, expected) => {
  expect(routed(method, raw, contentType)).toBe(expected);
});

test('a route does not depend on what the names below a root are', () => {
  const name = fc.string({ minLength: 1, maxLength: 20 }).filter(text => !/^\.{1,2}$|[\0/]/.test(text));
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 5 }), names => {
      expect(routed('GET', `/alice/stor/${names.map(encodeURIComponent).join('/')}`)).toBe('get stor');
    }),
  );
});
