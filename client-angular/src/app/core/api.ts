/** The meetings API of the own homeserver (protocol/client-api.ts). */
import { computed, inject, Injectable, signal } from '@angular/core';
import * as z from 'zod';
import {
  type Info,
  infoSchema,
  type InviteResult,
  inviteResultSchema,
  type Meeting,
  type MeetingDetails,
  meetingDetailsSchema,
  meetingListSchema,
  meetingSchema,
  type NewMeeting,
  type OwnOrganisation,
  ownOrganisationSchema,
} from '../../../../protocol/client-api.ts';
import {
  type ElsewhereResult,
  elsewhereResultSchema,
  joinFromPreviewSchema,
  type JoinLinkResult,
  joinLinkResultSchema,
  type Link,
  type LinkList,
  linkListSchema,
  type LinkPreview,
  linkPreviewSchema,
  linkSchema,
  type NewLink,
} from '../../../../protocol/guest-links.ts';
import { type LogPage, logPageSchema } from '../../../../protocol/meeting-log.ts';
import type { Organisation } from '../../../../protocol/session.ts';
import { Auth } from './auth.ts';
import { OrganisationNames } from './organisation-names.ts';
import { requestJson } from './request.ts';

const BASE = '/_hansetag/client/v1';

/** The answer to a new meeting also says what became of each invitation. */
const createdMeetingSchema = meetingSchema.extend({
  invitations: inviteResultSchema.shape.results.optional(),
});
const answeredSchema = z.object({ waiting: z.boolean().default(false) });
export type CreatedMeeting = z.infer<typeof createdMeetingSchema>;

@Injectable({ providedIn: 'root' })
export class Api {
  readonly #auth = inject(Auth);
  readonly #names = inject(OrganisationNames);
  readonly #info = signal<Info | undefined>(undefined);
  /** The organisation that runs the server; undefined until `loadInfo` has an answer. */
  readonly info = this.#info.asReadonly();
  readonly #own = signal<{ readonly userId: string | undefined; readonly answer: OwnOrganisation } | undefined>(
    undefined,
  );
  /** The organisation of whoever is logged in, which is one of several on some servers; undefined until it is known. */
  readonly own = computed(() => {
    const own = this.#own();
    return own?.userId === this.#auth.userId() ? own?.answer : undefined;
  });

  async loadInfo(): Promise<Info> {
    const known = this.#info();
    if (known) return known;
    const info = await requestJson(infoSchema, `${BASE}/info`);
    this.#info.set(info);
    this.#names.learn([info.organisation]);
    return info;
  }

  /** Learns the organisation of whoever is logged in. */
  async loadOwn(): Promise<void> {
    const userId = this.#auth.userId();
    if (this.own() !== undefined) return;
    this.#own.set({ userId, answer: await this.#auth.request(ownOrganisationSchema, `${BASE}/organisation`) });
  }

  async meetings(): Promise<Meeting[]> {
    const { meetings } = await this.#auth.request(meetingListSchema, `${BASE}/meetings`);
    this.#learn(meetings);
    return meetings;
  }

  async meeting(roomId: string): Promise<MeetingDetails> {
    const meeting = await this.#auth.request(meetingDetailsSchema, `${BASE}/meetings/${encodeURIComponent(roomId)}`);
    this.#learn([meeting]);
    return meeting;
  }

  createMeeting(plan: NewMeeting): Promise<CreatedMeeting> {
    return this.#auth.request(createdMeetingSchema, `${BASE}/meetings`, { method: 'POST', body: plan });
  }

  invite(roomId: string, userIds: string[]): Promise<InviteResult> {
    return this.#auth.request(inviteResultSchema, `${BASE}/meetings/${encodeURIComponent(roomId)}/invitations`, {
      method: 'POST',
      body: { userIds },
    });
  }

  /** @returns whether somebody has to let the person in first */
  async answer(roomId: string, answer: 'accept' | 'decline'): Promise<boolean> {
    const path = `${BASE}/meetings/${encodeURIComponent(roomId)}/answer`;
    const { waiting } = await this.#auth.request(answeredSchema, path, { method: 'POST', body: { answer } });
    return waiting;
  }

  createLink(roomId: string, settings: NewLink = {}): Promise<Link> {
    return this.#auth.request(linkSchema, linksPath(roomId), { method: 'POST', body: settings });
  }

  /** Links that were not ended and are not over, the newest first, and what becomes of guests in this meeting. */
  links(roomId: string): Promise<LinkList> {
    return this.#auth.request(linkListSchema, linksPath(roomId));
  }

  /** Gives a link another secret. */
  replaceLink(roomId: string, linkId: string): Promise<Link> {
    const path = `${linksPath(roomId)}/${encodeURIComponent(linkId)}/replace`;
    return this.#auth.request(linkSchema, path, { method: 'POST', body: {} });
  }

  /** Ends a link. @param guests what becomes of those who came by it */
  async endLink(roomId: string, linkId: string, guests: 'keep' | 'remove'): Promise<void> {
    const path = `${linksPath(roomId)}/${encodeURIComponent(linkId)}?guests=${guests}`;
    await this.#auth.request(z.unknown(), path, { method: 'DELETE' });
  }

  /** A page of the log of a meeting. @param before what the page before gave as `next` */
  meetingLog(roomId: string, before?: string): Promise<LogPage> {
    const query = before === undefined ? '' : `?before=${encodeURIComponent(before)}`;
    return this.#auth.request(logPageSchema, `${BASE}/meetings/${encodeURIComponent(roomId)}/log${query}`);
  }

  async linkPreview(token: string): Promise<LinkPreview> {
    const preview = await requestJson(linkPreviewSchema, `${BASE}/links/${encodeURIComponent(token)}`);
    this.#names.learn([preview.organisation]);
    return preview;
  }

  /** Enters by link in the name of who is logged in here, be it a guest. */
  joinLink(token: string, password?: string): Promise<JoinLinkResult> {
    return this.#auth.request(joinLinkResultSchema, `${BASE}/links/${encodeURIComponent(token)}/join`, {
      method: 'POST',
      body: password === undefined ? {} : { password },
    });
  }

  /** Enters by link as a new guest. */
  joinLinkAsGuest(token: string, displayName: string, password?: string): Promise<JoinLinkResult> {
    const path = `${BASE}/links/${encodeURIComponent(token)}/join`;
    const body = { displayName, ...(password === undefined ? {} : { password }) };
    return requestJson(joinLinkResultSchema, path, { method: 'POST', body });
  }

  /** The way to another organisation, where somebody with this link has an account. */
  goElsewhere(token: string, organisation: string, password?: string): Promise<ElsewhereResult> {
    const path = `${BASE}/links/${encodeURIComponent(token)}/elsewhere`;
    const body = { organisation, ...(password === undefined ? {} : { password }) };
    return requestJson(elsewhereResultSchema, path, { method: 'POST', body });
  }

  /** What the organisation is called that gave a code to join a meeting of its own. */
  async joinFromPreview(server: string): Promise<Organisation> {
    const path = `${BASE}/join-from?server=${encodeURIComponent(server)}`;
    const { organisation } = await this.#auth.request(joinFromPreviewSchema, path);
    this.#names.learn([organisation]);
    return organisation;
  }

  /** Uses such a code, once. */
  joinFrom(server: string, code: string): Promise<JoinLinkResult> {
    return this.#auth.request(joinLinkResultSchema, `${BASE}/join-from`, { method: 'POST', body: { server, code } });
  }

  #learn(meetings: readonly { organisations: readonly Organisation[] }[]): void {
    this.#names.learn(meetings.flatMap(({ organisations }) => organisations));
  }
}

function linksPath(roomId: string): string {
  return `${BASE}/meetings/${encodeURIComponent(roomId)}/links`;
}
