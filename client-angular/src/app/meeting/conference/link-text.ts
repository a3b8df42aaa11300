import type { LinkState } from '../../../../../protocol/session.ts';

/** The state of a link in one or two words. */
export function linkText({ state }: Pick<LinkState, 'state'>): string {
  switch (state) {
    case 'connecting':
      return $localize`:@@link.connecting:connecting`;
    case 'connected':
      return $localize`:@@link.connected:good`;
    case 'weak':
      return $localize`:@@link.weak:weak`;
    case 'interrupted':
      return $localize`:@@link.interrupted:interrupted`;
  }
}

/** What it means and what to do, for the panel. */
export function linkAdvice(link: Pick<LinkState, 'state' | 'hop'>, organisation: string): string {
  switch (link.state) {
    case 'connecting':
      return $localize`:@@link.adviceConnecting:The servers are connecting. This takes a few seconds.`;
    case 'connected':
      return $localize`:@@link.adviceConnected:Sound and pictures flow between the servers of both organisations.`;
    case 'weak':
      return $localize`:@@link.adviceWeak:The line loses packets. Pictures may get smaller; sound goes first.`;
    case 'interrupted':
      return link.hop === 'federation'
        ? $localize`:@@link.adviceFederation:The server of ${organisation}:ORGANISATION: does not answer. Your own organisation goes on; the connection comes back by itself.`
        : $localize`:@@link.adviceMedia:No media comes through from ${organisation}:ORGANISATION:. The chat may still work; the connection comes back by itself.`;
  }
}
