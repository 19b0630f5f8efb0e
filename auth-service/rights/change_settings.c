#include "change_step.h"


static store_result_t step_settings(step_t *step)
{
    size_t                   i;
    store_result_t           result = STORE_OK;
    const change_setting_t  *each = step->settings;

    for (i = 0; i < step->setting_count && result == STORE_OK; i++, each++) {
        result = each->value ? store_setting_set(step->store, each->name, each->value)
                             : store_setting_remove(step->store, each->name);
    }

    return result;
}


store_result_t change_settings(change_t *change, const change_setting_t *settings, size_t count)
{
    step_t  step = { .settings = settings, .setting_count = count };

    return change_run(change, &step, NULL, step_settings, CHANGE_NO_PAGE);
}
