import { BRIDGE, CONTROL_PLANE_ADDRESS, SERVICE_NETWORK } from './addresses.ts';
import { run } from './command.ts';

/** Sets up the control plane's network: the bridge, and nothing that leads out. */
export async function setUpBridge(): Promise<void> {
  const lines = [
    'link set lo up',
    `link add ${BRIDGE} type bridge`,
    `address add ${CONTROL_PLANE_ADDRESS}/24 dev ${BRIDGE}`,
    `link set ${BRIDGE} up`,
    // A connection to a Service must have a way before kube-proxy's rules can give it a better one.
    `route add ${SERVICE_NETWORK} dev ${BRIDGE}`,
  ];
  await run(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  await run(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv4.conf.all.rp_filter=0']);
}
