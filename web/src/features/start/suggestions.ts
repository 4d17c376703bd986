/** What the assistant offers to try first. */

import { t } from '../../app/i18n';

/** The guide reads English, so what is sent to it is English in every language; a model gets what is shown. */
export function suggestions(guide: boolean): { label: string; text: string }[] {
  if (guide) {
    return [
      { label: t('start.try_guide_1'), text: 'What can you do?' },
      { label: t('start.try_guide_2'), text: 'How does the queue work?' },
      { label: t('start.try_guide_3'), text: '/demo long' },
    ];
  }
  return [t('start.try_model_1'), t('start.try_model_2'), t('start.try_model_3')].map((text) => ({ label: text, text }));
}
