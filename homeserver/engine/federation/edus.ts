/** Hands transient messages of other servers to the subject that knows their type. Unknown types are ignored. */
import type { Logger } from 'pino';
import type { JsonObject } from '../../../federation/json.ts';
import { isTransient } from '../../database/errors.ts';

export type EduHandler = (origin: string, content: JsonObject) => void | Promise<void>;

export class Edus {
  readonly #handlers = new Map<string, EduHandler>();
  /** Types that must not be lost. */
  readonly #durable = new Set<string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Sets the handler of a type; it parses the content itself. */
  on(type: string, handler: EduHandler): void {
    this.#handlers.set(type, handler);
  }

  /** The same for a type that must not be lost. The handler must recognise what it has handled already. */
  onDurable(type: string, handler: EduHandler): void {
    this.on(type, handler);
    this.#durable.add(type);
  }

  /**
   * Handles one message; its failure is logged and keeps nothing else from being handled.
   *
   * @throws the handler's error when a message that must not be lost could not be stored and may be later
   *   (`isTransient`): the other server has to send it again. What is wrong with the message itself would be wrong again.
   */
  async handle(origin: string, type: string, content: JsonObject): Promise<void> {
    try {
      await this.#handlers.get(type)?.(origin, content);
    } catch (error) {
      if (this.#durable.has(type) && isTransient(error)) throw error;
      this.#log.warn({ err: error, origin, type }, 'a transient message could not be handled');
    }
  }
}
