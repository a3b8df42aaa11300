/** The sound of everybody else. A browser that wants a click first is asked for with one button. */
import { ChangeDetectionStrategy, Component, computed, effect, ElementRef, inject, input, output } from '@angular/core';
import { ConferenceStore } from '../../conference/store.ts';
import { mediaKey, type RemoteMedia } from '../../media/received-media.ts';

@Component({ selector: 'audio[htSound]', changeDetection: ChangeDetectionStrategy.OnPush, template: '' })
export class Sound {
  readonly htSound = input.required<MediaStreamTrack>();
  readonly blocked = output();

  constructor() {
    const audio = inject<ElementRef<HTMLAudioElement>>(ElementRef).nativeElement;
    effect((onCleanup) => {
      audio.srcObject = new MediaStream([this.htSound()]);
      let current = true;
      audio.play().catch((error: unknown) => {
        if (current && error instanceof Error && error.name === 'NotAllowedError') this.blocked.emit();
      });
      onCleanup(() => {
        current = false;
        audio.srcObject = null;
      });
    });
  }
}

@Component({
  selector: 'ht-remote-sound',
  imports: [Sound],
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: `@for (media of sounds(); track key(media)) {
    <audio [htSound]="media.track" [attr.data-participant-id]="media.participantId" (blocked)="blocked.emit()"></audio>
  }`,
})
export class RemoteSound {
  readonly #store = inject(ConferenceStore);
  /** The browser plays no sound before a click. */
  readonly blocked = output();
  readonly #host = inject<ElementRef<HTMLElement>>(ElementRef).nativeElement;
  protected readonly sounds = computed(() =>
    [...this.#store.remoteMedia().values()].filter(({ track }) => track.kind === 'audio'),
  );

  /** One element for each source, however often its track changes: nobody is heard twice. */
  protected key({ participantId, source }: RemoteMedia): string {
    return mediaKey(participantId, source);
  }

  /** Call from a click. */
  play(): void {
    for (const audio of this.#host.querySelectorAll('audio')) audio.play().catch(() => undefined);
  }
}
