/** Finds public keys of servers. */
export interface KeyLookup {
  /**
   * @param validAt milliseconds since 1970 for an event (its `origin_server_ts`), `now` for a request
   * @returns the unpadded base64 of the public key, or undefined when it is unknown or was not valid then
   */
  key(server: string, keyId: string, validAt: number | 'now'): Promise<string | undefined>;
}
