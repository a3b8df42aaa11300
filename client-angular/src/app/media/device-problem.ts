/** Why a camera or microphone can not be used, in kinds that the person can do something about. */
export type DeviceProblem =
  /** The browser or the person said no. */
  | 'blocked'
  /** There is none. */
  | 'missing'
  /** Another program holds it, or the hardware fails. */
  | 'busy'
  /** It was there and was unplugged or stopped by the system. */
  | 'lost'
  /** The page is not in a secure context, or the browser has no such thing. */
  | 'unsupported'
  | 'unknown';

/** @see https://w3c.github.io/mediacapture-main/#dom-mediadevices-getusermedia for the names */
export function deviceProblem(error: unknown): DeviceProblem {
  if (!(error instanceof Error)) return 'unknown';
  switch (error.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'blocked';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'missing';
    case 'NotReadableError':
    case 'AbortError':
      return 'busy';
    case 'TypeError':
    case 'NotSupportedError':
      return 'unsupported';
    default:
      return 'unknown';
  }
}

export function deviceProblemText(kind: 'camera' | 'microphone', problem: DeviceProblem): string {
  if (kind === 'camera') {
    switch (problem) {
      case 'blocked':
        return $localize`:@@camera.blocked:The browser blocks the camera. Allow it by the sign beside the address, then try again.`;
      case 'missing':
        return $localize`:@@camera.missing:No camera was found. You can take part without one.`;
      case 'busy':
        return $localize`:@@camera.busy:The camera is used by another program. Close that program, then try again.`;
      case 'lost':
        return $localize`:@@camera.lost:The camera was disconnected. Others do not see you now.`;
      case 'unsupported':
        return $localize`:@@camera.unsupported:This browser gives no access to a camera here.`;
      case 'unknown':
        return $localize`:@@camera.unknown:The camera does not start. Choose another one or try again.`;
    }
  }
  switch (problem) {
    case 'blocked':
      return $localize`:@@microphone.blocked:The browser blocks the microphone. Allow it by the sign beside the address, then try again.`;
    case 'missing':
      return $localize`:@@microphone.missing:No microphone was found. You can listen and write in the chat.`;
    case 'busy':
      return $localize`:@@microphone.busy:The microphone is used by another program. Close that program, then try again.`;
    case 'lost':
      return $localize`:@@microphone.lost:The microphone was disconnected. Others do not hear you now.`;
    case 'unsupported':
      return $localize`:@@microphone.unsupported:This browser gives no access to a microphone here.`;
    case 'unknown':
      return $localize`:@@microphone.unknown:The microphone does not start. Choose another one or try again.`;
  }
}
