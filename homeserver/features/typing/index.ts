/** Puts typing notifications together. */
import type { RequestHandler } from 'express';
import type { Feature } from '../../engine/feature.ts';
import { typingRouter } from './client-router.ts';
import { Typing } from './typing.ts';
import type { TypingOptions } from './typing.ts';

export function makeTyping(deps: TypingOptions & { readonly requireSession: RequestHandler }): Feature {
  const { rooms, requireSession } = deps;
  const typing = new Typing(deps);
  return {
    client: [typingRouter({ typing, rooms, requireSession })],
    syncParts: [typing.part()],
    close: () => typing.close(),
  };
}
