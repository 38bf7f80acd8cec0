/** A port of a service, by name or number. */
export interface ServicePort {
  readonly namespace: string;
  readonly service: string;
  readonly port: string | number;
  /** Default: http. */
  readonly scheme?: 'http' | 'https';
}

/**
 * The path by which the API server passes a request on to a program, subject to verb and name of `services/proxy`
 * (operations.md §5.2). `path` begins with a slash and may have a query.
 */
export function serviceProxyPath({ namespace, service, port, scheme = 'http' }: ServicePort, path: string): string {
  const name = `${scheme === 'https' ? 'https:' : ''}${service}:${port}`;
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/services/${encodeURIComponent(name)}/proxy${path}`;
}
