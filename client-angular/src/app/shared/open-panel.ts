/** Which panel stands beside the stage: what it shows need not be said as well. */
import { Injectable, signal } from '@angular/core';

@Injectable({ providedIn: 'root' })
export class OpenPanel {
  readonly name = signal<string | undefined>(undefined);
  /** One that somebody wants to see, from elsewhere on the screen. */
  readonly wanted = signal<string | undefined>(undefined);
}
