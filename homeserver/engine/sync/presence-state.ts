/** Presence, as a client sets it with each `/sync`. @see Matrix specification, client-server API, "Presence" */
export const PRESENCES = ['online', 'unavailable', 'offline'] as const;
export type PresenceState = (typeof PRESENCES)[number];
