export default {
  send: 'Senden',
};
