/** Hands EDUs of other servers to the feature that registered their type. Unknown types are ignored. */
import type { Logger } from 'pino';
import type { JsonObject } from '../../../federation/json.ts';
import { isTransient } from '../../database/errors.ts';

export type EduHandler = (origin: string, content: JsonObject) => void | Promise<void>;

export class Edus {
  readonly #handlers = new Map<string, EduHandler>();
  /** EDU types that must not be lost. */
  readonly #durable = new Set<string>();
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Registers the handler of a type; the handler parses the content. */
  on(type: string, handler: EduHandler): void {
    this.#handlers.set(type, handler);
  }

  /** Registers the handler of a type that must not be lost. The handler must be idempotent. */
  onDurable(type: string, handler: EduHandler): void {
    this.on(type, handler);
    this.#durable.add(type);
  }

  /**
   * Handles one EDU; its failure is logged and does not affect others.
   *
   * @throws the handler's error when an EDU that must not be lost could not be stored for a transient reason
   *   (`isTransient`): the other server has to retry. An invalid EDU would be invalid again.
   */
  async handle(origin: string, type: string, content: JsonObject): Promise<void> {
    try {
      await this.#handlers.get(type)?.(origin, content);
    } catch (error) {
      if (this.#durable.has(type) && isTransient(error)) throw error;
      this.#log.warn({ err: error, origin, type }, 'an EDU could not be handled');
    }
  }
}
