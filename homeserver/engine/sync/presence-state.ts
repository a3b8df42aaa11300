/** Whether somebody is there, as a client says with each `/sync`. @see Matrix specification, client-server API, "Presence" */
export const PRESENCES = ['online', 'unavailable', 'offline'] as const;
export type PresenceState = (typeof PRESENCES)[number];
