import { isIP } from 'node:net';
import { z } from 'zod';

const port = z.int().min(1).max(65_535);
const milliseconds = z.int().nonnegative();

/** One address of webapi. */
export interface Backend {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number;
}

const backend = z.strictObject({ address: z.string().refine(text => isIP(text) !== 0, 'is no IP address'), port });

const network = z.string().refine(isNetwork, 'is neither an address nor a network');

/** Everything that the load balancer can be told. Unknown keys fail. */
export const loadbalancerConfigSchema = z.strictObject({
  listen: z
    .strictObject({
      /** IPv4 or IPv6 addresses to listen on. */
      addresses: z
        .array(z.string().refine(text => isIP(text) !== 0, 'is no IP address'))
        .min(1)
        .default(['0.0.0.0']),
      /** TLS. */
      tlsPort: port.default(8443),
      /** Clear text. webapi refuses what needs a secure transport. */
      clearPort: port.default(8080),
    })
    .prefault({}),
  /** Where health, metrics and the state of the certificate are. Never exposed. Port 0 takes a free one. */
  control: z
    .strictObject({ host: z.string().default('0.0.0.0'), port: z.int().min(0).max(65_535).default(9090) })
    .prefault({}),
  /** Where webapi is: a fixed list, or the EndpointSlices of its Service, followed through the Kubernetes API. */
  backends: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('fixed'), list: z.array(backend) }),
    z.strictObject({
      kind: z.literal('service'),
      /** Namespace of the Service. */
      namespace: z.string().min(1),
      service: z.string().min(1).default('webapi'),
      /** Name of the Service's port. */
      portName: z.string().min(1).default('http'),
    }),
  ]),
  /** Addresses and networks (CIDR) of proxies in front, whose `X-Forwarded-Proto` is passed on. auth.md §13.8. */
  trustedProxies: z.array(network).default([]),
  certificate: z.strictObject({
    /** PEM: the leaf, then the intermediates in order. */
    certificateFile: z.string().min(1),
    /** PEM: the leaf's private key. */
    keyFile: z.string().min(1),
  }),
  /** Writable directory for what nginx needs: its configuration, the certificate in use, sockets. Empty in a new pod. */
  stateDir: z
    .string()
    .regex(/^\/[\w./-]+$/, 'is no absolute path of letters, digits, dots and dashes')
    .max(80, 'is too long for a socket in it')
    .default('/run/loadbalancer'),
  /** nginx, by path or as found on PATH. */
  nginx: z.string().min(1).default('nginx'),
  limits: z
    .strictObject({
      /** Processes that do nginx's work. */
      workers: z.int().min(1).default(2),
      /** Connections of one worker, those to webapi included. */
      workerConnections: z.int().min(64).default(16_384),
    })
    .prefault({}),
  /** All in milliseconds. */
  timers: z
    .strictObject({
      /** A client that sends or takes nothing, or an idle connection. http-api.md §13.3, like the next two. */
      client: milliseconds.default(120_000),
      /** Until webapi takes a connection. */
      connect: milliseconds.default(2_000),
      /** webapi's silence in the middle of a request. */
      server: milliseconds.default(240_000),
      /** Between two looks at the certificate's files. */
      certificate: milliseconds.default(5_000),
      /** Least time between two reloads of nginx. */
      reload: milliseconds.default(1_000),
      /**
       * For how long answers close their connection before a reload or a stop: whoever is busy has moved to a new
       * connection when idle ones are closed.
       */
      turnOver: milliseconds.default(300),
      /** Between two health checks of each webapi, for the metrics. */
      healthCheck: milliseconds.default(5_000),
      /** Between the first failing readiness probe and the end of accepting, so that the Service notices. */
      lameDuck: milliseconds.default(5_000),
      /** Time that running requests have at shutdown. */
      drain: milliseconds.default(30_000),
    })
    .prefault({}),
  /** Least severe level that is logged; the access log is `info`. */
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
});

/** The checked configuration. */
export type LoadbalancerConfig = z.infer<typeof loadbalancerConfigSchema>;

function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits ?? 0) <= (family === 4 ? 32 : 128);
}
