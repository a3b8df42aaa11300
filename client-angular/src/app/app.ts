import { Component } from '@angular/core';
import { RouterOutlet } from '@angular/router';

/** The frame of every screen: nothing but the outlet. */
@Component({ selector: 'ht-root', imports: [RouterOutlet], template: '<router-outlet />' })
export class App {}
