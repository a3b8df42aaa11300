/** With which servers we federate: with all, or with those on a list. */
export type TrustMode = { readonly mode: 'open' } | { readonly mode: 'allowlist'; readonly servers: Iterable<string> };

/** Whether we federate with a server. Server names are compared as written; `Example.org` is not `example.org`. */
export function isTrusted(trust: TrustMode, server: string): boolean {
  if (trust.mode === 'open') return true;
  for (const listed of trust.servers) if (listed === server) return true;
  return false;
}
