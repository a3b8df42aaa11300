import { computed, inject } from '@angular/core';
import type { MeetingModule } from '../../conference/meeting-module.ts';
import { ChatAnnouncements } from './chat-announcements.ts';
import { Chat } from './chat.ts';

/** Writing to everybody: messages of the room, also for other Matrix clients. */
export function chatModule(): MeetingModule {
  const chat = inject(Chat);
  inject(ChatAnnouncements);
  return {
    name: 'chat',
    panel: {
      name: 'chat',
      title: $localize`:@@bar.chat:Chat`,
      icon: 'M4 5h16v11H10l-4.5 4V16H4z',
      key: 'c',
      keyFocus: 'field',
      badge: computed(() => {
        const count = chat.unread();
        return count > 0 ? { count, label: $localize`:@@bar.unread: unread` } : undefined;
      }),
      load: async () => (await import('./chat-panel.ts')).ChatPanel,
    },
    notifications: {
      'chat.message': (message) => chat.received(message),
      'chat.changed': (message) => chat.changed(message),
      'chat.removed': (removed) => chat.removed(removed),
    },
    joined: ({ roomId }) => void chat.open(roomId),
  };
}
