/** Asks the server for what a person wants done, and says in words when it was not done. */
import { inject, Injectable } from '@angular/core';
import type { Method, Params, Result } from '../../../../protocol/session.ts';
import { Session } from '../session/session.ts';
import { SessionError } from '../session/session-error.ts';
import { Told } from './told.ts';

@Injectable({ providedIn: 'root' })
export class Acting {
  readonly #session = inject(Session);
  readonly #told = inject(Told);

  /** @returns undefined when it was not done: the person knows why then */
  async ask<M extends Exclude<Method, 'hello'>>(method: M, params: Params<M>): Promise<Result<M> | undefined> {
    try {
      return await this.#session.request(method, params);
    } catch (error) {
      this.#told.tell(notDoneText(error), 'error');
      return undefined;
    }
  }
}

function notDoneText(error: unknown): string {
  const code = error instanceof SessionError ? error.code : undefined;
  switch (code) {
    case 'connection-lost':
      return $localize`:@@act.line:Not done: the connection to your organisation’s server is interrupted. Try again when it is back.`;
    case 'forbidden':
      return $localize`:@@error.forbidden:You do not have the right to do this. Ask the person who leads the meeting.`;
    case 'not-found':
    case 'not-in-conference':
      return $localize`:@@act.gone:Not done: the person is not in the meeting any more.`;
    case 'conflict':
      return $localize`:@@act.conflict:Not done: this is switched off in this meeting.`;
    case 'too-many-requests':
      return $localize`:@@act.fast:Not done: that was too fast. Wait a moment.`;
    default: {
      const text = $localize`:@@act.failed:Not done: something went wrong on your organisation’s server. Try again; if it stays, tell the help desk.`;
      const reference = error instanceof SessionError ? error.reference : undefined;
      if (reference === undefined) return text;
      return `${text} ${$localize`:@@error.reference:(Code for the help desk: ${reference}:REFERENCE:)`}`;
    }
  }
}
