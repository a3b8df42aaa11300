/** One tick a second for everything on the screen that counts time. */
import { Injectable } from '@angular/core';
import { toSignal } from '@angular/core/rxjs-interop';
import { map, timer } from 'rxjs';

@Injectable()
export class Clock {
  /** Unix ms. */
  readonly now = toSignal(timer(1_000, 1_000).pipe(map(() => Date.now())), { initialValue: Date.now() });
}
