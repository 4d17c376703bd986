import type { Messages } from '../en';
import branches from './branches';
import chat from './chat';
import common from './common';
import context from './context';
import life from './life';
import memories from './memories';
import people from './people';
import problems from './problems';
import replay from './replay';
import settings from './settings';
import share from './share';
import shell from './shell';
import side from './side';
import start from './start';

const fr: Messages = { branches, chat, common, context, life, memories, people, problems, replay, settings, share, shell, side, start };
export default fr;
