import type { Routes } from '@angular/router';
import { requireLogin } from './core/guards.ts';

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
    path: 'join-from',
    canActivate: [requireLogin],
    title: title($localize`:@@title.joinFrom:Join a meeting`),
    loadComponent: () => import('./guest/join-from.ts').then((module) => module.JoinFrom),
  },
  {
    path: 'meeting/:roomId',
    canActivate: [requireLogin],
    loadChildren: () => import('./meeting/meeting-routes.ts').then((module) => module.meetingRoutes),
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
