/** What of a new event a rule looks at. */
interface SentEvent {
  readonly type: string;
  readonly stateKey?: string;
}

/** Whether a user of this server may send an event, beyond what Matrix and the account say. @throws MatrixError 403 */
export type SendRule = (roomId: string, sender: string, event: SentEvent) => Promise<void>;

/** The rules that features have for what users of this server send. They need the engine itself, so they are set later. */
export class SendRules {
  #rule: SendRule = () => Promise.resolve();

  use(rule: SendRule): void {
    this.#rule = rule;
  }

  /** @throws MatrixError 403 */
  check(roomId: string, sender: string, event: SentEvent): Promise<void> {
    return this.#rule(roomId, sender, event);
  }
}
