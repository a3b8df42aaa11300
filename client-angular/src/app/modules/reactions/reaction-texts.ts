import type { Reaction } from '../../../../../protocol/modules/reactions.ts';

/** Drawn by the system's font. */
export const GLYPHS: Readonly<Record<Reaction, string>> = {
  clap: '👏',
  'thumbs-up': '👍',
  'thumbs-down': '👎',
  heart: '❤️',
  laugh: '😄',
  surprised: '😮',
  celebrate: '🎉',
  thinking: '🤔',
};

/** What a reaction says, in a word or two. */
export function reactionText(reaction: Reaction): string {
  switch (reaction) {
    case 'clap':
      return $localize`:@@reaction.clap:Applause`;
    case 'thumbs-up':
      return $localize`:@@reaction.thumbsUp:Agreement`;
    case 'thumbs-down':
      return $localize`:@@reaction.thumbsDown:Disagreement`;
    case 'heart':
      return $localize`:@@reaction.heart:Thank you`;
    case 'laugh':
      return $localize`:@@reaction.laugh:Laughter`;
    case 'surprised':
      return $localize`:@@reaction.surprised:Surprise`;
    case 'celebrate':
      return $localize`:@@reaction.celebrate:Congratulations`;
    case 'thinking':
      return $localize`:@@reaction.thinking:Thinking`;
  }
}
