import type { Routes } from '@angular/router';
import { requireLogin } from './core/guards.ts';
import type { Conference } from './meeting/conference/conference.ts';

const title = (text: string): string => `${text} – Hansetag`;

export const routes: Routes = [
  {
    path: 'login',
    title: title($localize`:@@title.login:Log in`),
    loadComponent: () => import('./login/login.ts').then((module) => module.Login),
  },
  {
    path: 'join/:token',
    title: title($localize`:@@title.guest:Enter as a guest`),
    loadComponent: () => import('./guest/guest.ts').then((module) => module.Guest),
  },
  {
    path: 'meeting/:roomId/lobby',
    canActivate: [requireLogin],
    title: title($localize`:@@title.lobby:Before the meeting`),
    loadComponent: () => import('./meeting/lobby/lobby.ts').then((module) => module.Lobby),
  },
  {
    path: 'meeting/:roomId',
    canActivate: [requireLogin],
    canDeactivate: [(conference: Conference) => conference.mayLeave()],
    title: title($localize`:@@title.conference:Meeting`),
    loadComponent: () => import('./meeting/conference/conference.ts').then((module) => module.Conference),
  },
  {
    path: '',
    pathMatch: 'full',
    canActivate: [requireLogin],
    title: title($localize`:@@title.home:Meetings`),
    loadComponent: () => import('./home/home.ts').then((module) => module.Home),
  },
  { path: '**', redirectTo: '' },
];
