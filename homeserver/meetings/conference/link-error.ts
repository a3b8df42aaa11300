/** A refusal of what the other side said about a link. */
export class LinkError extends Error {
  readonly code: 'bad-address' | 'bad-node' | 'unknown-link' | 'closed';
  constructor(code: LinkError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
