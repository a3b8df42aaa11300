/** Hands transient messages of other servers to the subject that knows their type. Unknown types are ignored. */
import type { Logger } from 'pino';
import type { JsonObject } from '../../federation/json.ts';

export type EduHandler = (origin: string, content: JsonObject) => void | Promise<void>;

export class Edus {
  readonly #handlers = new Map<string, EduHandler>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Sets the handler of a type; it parses the content itself. */
  on(type: string, handler: EduHandler): void {
    this.#handlers.set(type, handler);
  }

  /** Handles one message; its failure is logged and keeps nothing else from being handled. */
  async handle(origin: string, type: string, content: JsonObject): Promise<void> {
    try {
      await this.#handlers.get(type)?.(origin, content);
    } catch (error) {
      this.#log.warn({ err: error, origin, type }, 'a transient message could not be handled');
    }
  }
}
