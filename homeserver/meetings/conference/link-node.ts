/**
 * Who is at an end of a link: an SFU node of an instance. An instance has one node so far, so that a link is between two
 * instances; two nodes of one instance will be linked in the same way.
 */
import { z } from 'zod';

export interface NodeId {
  /** The instance, by its Matrix server name. */
  readonly server: string;
  /** Unique in the instance. */
  readonly node: string;
}

/** The node of an instance that has one, and of a message that names none (those of older builds). */
export const MAIN_NODE = 'main';
export const nodeNameSchema = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/);

export function mainNode(server: string): NodeId {
  return { server, node: MAIN_NODE };
}

/** Of two nodes the smaller one opens the link between them: by server name, then by node, by code unit. */
export function opensLink(own: NodeId, peer: NodeId): boolean {
  return own.server === peer.server ? own.node < peer.node : own.server < peer.server;
}
