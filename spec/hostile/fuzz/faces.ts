/** All faces that can be attacked. Every later one joins here. */
import { anyFace } from './face.ts';
import type { Attack, Face } from './face.ts';
import { answersFace } from './faces/answers.ts';
import { accountsFace, clientFace } from './faces/client.ts';
import { federationFace, linksFace } from './faces/federation.ts';
import { openIdp } from './faces/idp.ts';
import { mediaFace } from './faces/media.ts';
import { sessionFace } from './faces/session.ts';
import { sfuControlFace } from './faces/sfu-control.ts';
import type { TargetKind } from './target-messages.ts';
import type { Target } from './target-process.ts';

export const FACES = {
  client: on('homeserver', 8, clientFace),
  session: on('homeserver', 20, sessionFace),
  accounts: on('homeserver', 6, accountsFace),
  federation: on('homeserver', 8, federationFace),
  links: on('homeserver', 8, linksFace),
  media: on('sfu', 1, mediaFace),
  idp: {
    atOnce: 4,
    open: async (targets) => {
      const { target, face } = await openIdp(targets);
      return { target, face: anyFace(face) };
    },
  },
  answers: on('homeserver', 4, answersFace),
  'sfu-control': on('sfu', 4, sfuControlFace),
} as const satisfies Record<string, Attack>;

export type FaceName = keyof typeof FACES;

export function isFaceName(name: string): name is FaceName {
  return Object.hasOwn(FACES, name);
}

/** @param atOnce how many inputs are under way at a time */
function on<Input>(kind: TargetKind, atOnce: number, open: (target: Target) => Promise<Face<Input>>): Attack {
  return {
    atOnce,
    open: async (targets) => {
      const target = await targets.shared(kind);
      return { target, face: anyFace(await open(target)) };
    },
  };
}
