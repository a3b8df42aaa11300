/**
 * Why a message was not sent, and what to do.
 * @param code of the session protocol, as `Outgoing.failed` holds it
 */
export function notSentText(code: string): string {
  switch (code) {
    case 'connection-lost':
    case '':
      return $localize`:@@chat.failedLine:Not sent: the connection was interrupted.`;
    case 'too-many-requests':
      return $localize`:@@chat.failedFast:Not sent: that was too fast. Wait a moment.`;
    case 'forbidden':
    case 'not-found':
    case 'not-in-conference':
      return $localize`:@@chat.failedForbidden:Not sent: you may not write in this meeting.`;
    case 'bad-request':
    case 'too-large':
      return $localize`:@@chat.failedText:Not sent: the server does not take this text. Change it and try again.`;
    default:
      return $localize`:@@chat.failed:Not sent.`;
  }
}
