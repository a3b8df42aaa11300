import { Component } from '@angular/core';
@Component({ selector: 'ht-lobby', template: '' })
export class Lobby {}
