/** The messages that are shown now, so that components follow when they change. */

import type { Messages } from '../messages/en';

let messages = $state.raw({} as Messages);

export const shown = {
  get messages(): Messages {
    return messages;
  },
  set messages(value: Messages) {
    messages = value;
  },
};
