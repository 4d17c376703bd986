export default {
  title: 'Nebengespräch',
};
