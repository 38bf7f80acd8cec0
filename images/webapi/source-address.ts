import { BlockList, isIP, SocketAddress } from 'node:net';

/** Where requests come from, seen through the proxies that the configuration trusts. auth.md §13.8. */
export interface SourceAddresses {
  isTrusted(peer: string | undefined): boolean;
  /** The right-most hop that is not a trusted proxy. */
  sourceOf(peer: string | undefined, forwardedFor: string | undefined): string;
}

/**
 * `trusted`: addresses and CIDR networks. `trustsPeers`: whoever connects is trusted as well, wherever it is. Throws
 * RangeError on anything else.
 */
export function createSourceAddresses(
  trusted: readonly string[],
  { trustsPeers = false }: { readonly trustsPeers?: boolean } = {},
): SourceAddresses {
  const list = new BlockList();
  for (const item of trusted) addTo(list, item);
  const isTrusted = (address: string) => trusted.length > 0 && list.check(address, familyOf(address));

  return {
    isTrusted: peer => peer !== undefined && (trustsPeers || isTrusted(normalizeAddress(peer) ?? peer)),
    sourceOf: (peer, forwardedFor) => {
      let source = normalizeAddress(peer ?? '') ?? 'unknown';
      const hops = forwardedFor === undefined ? [] : forwardedFor.split(',');
      let isProxy = trustsPeers;
      while (isIP(source) !== 0 && (isProxy || isTrusted(source))) {
        const next = normalizeAddress(hops.pop()?.trim() ?? '');
        if (next === undefined) break;
        source = next;
        isProxy = false;
      }
      return source;
    },
  };
}

/** An address without brackets and port, IPv6 in its short form, v4-mapped as v4; undefined when it is none. */
export function normalizeAddress(text: string): string | undefined {
  const bare = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
  const family = isIP(mapped);
  if (family === 0) return undefined;
  return family === 4 ? mapped : new SocketAddress({ address: mapped, family: 'ipv6' }).address;
}

function addTo(list: BlockList, item: string): void {
  const [address = '', bits] = item.split('/');
  const family = familyOf(address);
  if (isIP(address) === 0) throw new RangeError(`trusted proxy "${item}" is neither an address nor a network`);
  if (bits === undefined) list.addAddress(address, family);
  else list.addSubnet(address, Number(bits), family);
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4';
}
