/**
 * What went wrong, by the code of the problem. English readers get the words of the server, which know more of the case;
 * these are the shape for other languages.
 */
export default {
  offline: 'The server cannot be reached. Check your connection, then try again.',
  code_not_found: 'No live session has this code. Ask for it once more.',
  link_not_found: 'There is no such link. Check the address, or ask for a new one.',
  link_ended: 'That link has been revoked or has expired. Ask for a new one.',
  link_password: 'That link wants a password. Ask whoever sent it.',
  session_full: 'The session is full. Wait until somebody leaves, or ask its owner to make room.',
  join_closed: 'The session takes nobody in now.',
  removed: 'You were removed from this session. An owner or moderator can let you in again.',
  rate_limited: 'That was too much at once. Wait a moment, then try again.',
  forbidden: 'Your role does not allow this. Ask an owner or moderator.',
  hosting_not_allowed: 'You may not start sessions here. You can join by a link or a code.',
  not_found: 'There is nothing here, or not for you.',
  session_not_active: 'The session is not active: nothing can be written in it now.',
  queue_full: 'The queue is full. Wait for answers.',
  message_too_long: 'The message is longer than 64 KiB. Shorten it, or send it in parts.',
  unavailable: 'The server cannot store anything now. Try again in a moment.',
  overloaded: 'The session has too much to do. Try again in a moment.',
  storage_full: 'The disk of the server is full. Tell whoever runs it.',
  internal: 'Something went wrong on the server. Try again; the number below helps whoever runs it.',
};
