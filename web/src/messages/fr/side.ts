export default {
  title: 'Aparté',
};
