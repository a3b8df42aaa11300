/** The lobby and the conference: what both need is loaded with the first of them, and lives as long as the page. */
import type { Routes } from '@angular/router';
import { ConferenceClient } from '../conference/conference-client.ts';
import { Modules } from '../conference/modules.ts';
import { MODULES } from '../modules/modules.ts';
import { OwnDialogs } from '../shared/own-dialogs.ts';
import type { Conference } from './conference/conference.ts';

/** Given once for all meetings: the way from the lobby into the conference keeps them. */
export const MEETING_PROVIDERS = [...MODULES, Modules, OwnDialogs, ConferenceClient];

const title = (text: string): string => `${text} – Hansetag`;

export const meetingRoutes: Routes = [
  {
    path: '',
    providers: MEETING_PROVIDERS,
    children: [
      {
        path: 'lobby',
        title: title($localize`:@@title.lobby:Before the meeting`),
        loadComponent: () => import('./lobby/lobby.ts').then((module) => module.Lobby),
      },
      {
        path: '',
        canDeactivate: [(conference: Conference) => conference.mayLeave()],
        title: title($localize`:@@title.conference:Meeting`),
        loadComponent: () => import('./conference/conference.ts').then((module) => module.Conference),
      },
    ],
  },
];
