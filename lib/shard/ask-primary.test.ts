import { createServer, type RequestListener, type Server } from 'node:http';
import { createAskPrimary } from './ask-primary.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

/** A sitter's URL; its answers are the test's. */
async function aSitter(listener: RequestListener): Promise<string> {
  const created = createServer(listener);
  server = created;
  await new Promise<void>(resolve => created.listen(0, '127.0.0.1', resolve));
  const address = created.address();
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

const ask = createAskPrimary({ fetch });
const never = new AbortController().signal;

describe('a question to the sitter of a primary', () => {
  it('gives what the sitter says of itself', async () => {
    const answer = { id: 'pg-1-0', incarnation: 'i', generation: 7, freshForMs: 2_400, more: true };
    const url = await aSitter((request, response) => {
      response.end(request.url === '/internal/v1/primary' ? JSON.stringify(answer) : '{}');
    });
    expect(await ask(url, never)).toEqual(answer);
  });

  it.each([
    ['an error', 503, '{}'],
    ['another form', 200, '{"id":"pg-1-0"}'],
    ['no JSON', 200, 'ok'],
    ['a redirection', 302, ''],
  ])('fails on %s', async (_what, status, body) => {
    const url = await aSitter((_request, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(body);
    });
    await expect(ask(url, never)).rejects.toThrow();
  });

  it('ends with its signal while the sitter is silent', async () => {
    const url = await aSitter(() => {});
    await expect(ask(url, AbortSignal.timeout(30))).rejects.toThrow('timeout');
  });
});
