import { stringify } from 'yaml';
import type { z } from 'zod';
import { loadbalancerConfigSchema } from '../../../images/loadbalancer/config.ts';
import type { Intent } from '../../../lib/kubernetes/object.ts';
import type { Deployment, Service } from '../../../lib/kubernetes/resources.ts';
import { PORTS, SECRETS } from '../../names.ts';
import { replicatedPlacement } from '../../pods/placement.ts';
import { httpProbe, secretVolume } from '../../pods/pod-template.ts';
import type { RegionView } from '../../region-view.ts';
import { CONFIG_DIRECTORY, CONFIG_FILE, metadataOf, programDeployment, selectorOf } from './deployment.ts';

/** Name of the region's Service for clients. */
export const FRONT_DOOR = 'manta';

const CERTIFICATE = '/etc/manta/certificate';
const STATE = '/run/loadbalancer';

/** The Secret with the certificate that clients see. */
export function certificateSecretOf({ spec }: RegionView): string {
  return spec.frontDoor.tls.secretName ?? SECRETS.tls;
}

/** The configuration file of the load balancers, which their own schema has accepted. Throws ZodError otherwise. */
export function loadbalancerConfig(region: RegionView): string {
  const { spec, namespace } = region;
  const config: z.input<typeof loadbalancerConfigSchema> = {
    listen: { tlsPort: PORTS.tls, clearPort: PORTS.http },
    control: { port: PORTS.control },
    backends: { kind: 'service', namespace, service: 'webapi', portName: 'http' },
    trustedProxies: [...(spec.frontDoor.trustedProxies ?? [])],
    certificate: { certificateFile: `${CERTIFICATE}/tls.crt`, keyFile: `${CERTIFICATE}/tls.key` },
    stateDir: STATE,
    logLevel: spec.services.loadbalancer.logLevel,
  };
  loadbalancerConfigSchema.parse(config);
  return stringify(config);
}

/** The load balancers' pods, with `config` as `loadbalancerConfig` has rendered it. */
export function loadbalancerDeployment(region: RegionView, config: string): Intent<Deployment> {
  return programDeployment(region, {
    program: 'loadbalancer',
    configuration: config,
    placement: replicatedPlacement(region, 'loadbalancer'),
    graceSeconds: 60,
    usesApi: true,
    container: {
      args: [`${CONFIG_DIRECTORY}/${CONFIG_FILE}`],
      ports: [
        { name: 'tls', containerPort: PORTS.tls },
        { name: 'http', containerPort: PORTS.http },
        { name: 'control', containerPort: PORTS.control },
      ],
      volumeMounts: [
        { name: 'certificate', mountPath: CERTIFICATE, readOnly: true },
        { name: 'state', mountPath: STATE },
        { name: 'tmp', mountPath: '/tmp' },
      ],
      startupProbe: httpProbe('/livez', 'control', { periodSeconds: 1, failureThreshold: 60 }),
      livenessProbe: httpProbe('/livez', 'control', { periodSeconds: 5, failureThreshold: 6, timeoutSeconds: 5 }),
      readinessProbe: httpProbe('/readyz', 'control', { periodSeconds: 2, failureThreshold: 2, timeoutSeconds: 2 }),
    },
    volumes: [
      secretVolume('certificate', certificateSecretOf(region), { 'tls.crt': 'tls.crt', 'tls.key': 'tls.key' }),
      { name: 'state', emptyDir: {} },
      { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
    ],
  });
}

/** Where clients come. */
export function frontDoorService(region: RegionView): Intent<Service> {
  const { service } = region.spec.frontDoor;
  const isBalanced = service.type === 'LoadBalancer';
  return {
    metadata: {
      ...metadataOf(region, 'loadbalancer', FRONT_DOOR),
      ...(service.annotations === undefined ? {} : { annotations: service.annotations }),
    },
    spec: {
      type: service.type,
      externalTrafficPolicy: service.externalTrafficPolicy,
      ...(isBalanced && service.loadBalancerClass !== undefined
        ? { loadBalancerClass: service.loadBalancerClass }
        : {}),
      ...(isBalanced && service.sourceRanges !== undefined ? { loadBalancerSourceRanges: service.sourceRanges } : {}),
      selector: selectorOf(region, 'loadbalancer'),
      ports: [
        { name: 'https', port: 443, targetPort: 'tls' },
        { name: 'http', port: 80, targetPort: 'http' },
      ],
    },
  };
}
