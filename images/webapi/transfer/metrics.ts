import { Counter, type Registry } from 'prom-client';

/** What goes wrong between webapi and storage nodes, and is made good for the client. */
export interface TransferMetrics {
  /** Nodes that were replaced before an upload's first byte. */
  readonly refusals: Counter;
  /** Copies that were passed over before a download's first byte. */
  readonly passedOver: Counter;
}

export function createTransferMetrics(registry: Registry): TransferMetrics {
  const registers = [registry];
  return {
    refusals: new Counter({
      name: 'manta_webapi_upload_refusals_total',
      help: 'storage nodes replaced before the first byte of an upload',
      registers,
    }),
    passedOver: new Counter({
      name: 'manta_webapi_download_passed_over_total',
      help: 'copies passed over before the first byte of a download',
      registers,
    }),
  };
}
