/**
 * The cluster's networks. They exist in namespaces alone: nothing of this machine's own network has an address of theirs
 * or a route to them.
 */
export const POD_NETWORK = '10.244.0.0/16';
export const SERVICE_NETWORK = '10.96.0.0/16';
/** The Service `kubernetes`, always the first address of the network. */
export const API_SERVICE_ADDRESS = '10.96.0.1';
export const DNS_ADDRESS = '10.96.0.10';
export const CLUSTER_DOMAIN = 'cluster.local';

/** The bridge that all nodes are plugged into, and the control plane's address on it. */
export const BRIDGE = 'nodes';
export const CONTROL_PLANE_ADDRESS = '10.89.0.254';

/** Nodes are counted from 1; the address of a node on the bridge. */
export function nodeAddress(number: number): string {
  return `10.89.0.${number}`;
}

/** The network of a node's pods. */
export function podNetworkOf(number: number): string {
  return `10.244.${number}.0/24`;
}

/** A node's name in the cluster, and the name of its cable's end at the bridge. */
export function nodeName(number: number): string {
  return `n${number}`;
}
