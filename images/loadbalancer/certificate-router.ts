import express, { type Router } from 'express';
import type { CertificateKeeper } from './certificate.ts';

/**
 * `GET /certificate`: what this load balancer serves and, when the files that it is given hold something else, why not
 * that. The operator's only view of a Secret that it must not read (operations.md §4.8 and §5.2).
 */
export function createCertificateRouter(keeper: CertificateKeeper): Router {
  const router = express.Router();
  router.get('/certificate', (_request, response) => {
    const leaf = keeper.served()?.leaf;
    response.json({
      served: leaf && {
        serial: leaf.serial,
        subjects: leaf.subjects,
        notBefore: new Date(leaf.notBefore).toISOString(),
        notAfter: new Date(leaf.notAfter).toISOString(),
      },
      refused: keeper.refused(),
    });
  });
  return router;
}
