/** The side chat. */
export default {
  title: 'Side chat',
};
