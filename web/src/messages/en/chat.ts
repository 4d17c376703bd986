/** The conversation: messages, composer, queue, attachments. */
export default {
  send: 'Send',
};
