/* Groups: change.c has joining and leaving. */

#include "change_step.h"

/* Of so many members the lost rights are compared one by one; larger groups lose all sessions. */
#define GROUP_COMPARED_MOST  64

typedef struct {
    uint64_t  ids[GROUP_COMPARED_MOST];
    size_t    count;            /* of all members */
} group_t;


static store_result_t step_group_add(step_t *step)
{
    return store_group_add(step->store, step->name);
}


store_result_t change_group_add(change_t *change, const char *name)
{
    step_t  step = { .name = name };

    return change_run(change, &step, NULL, step_group_add, CHANGE_NO_PAGE);
}


static void group_collect(uint64_t id, void *data)
{
    group_t  *group = data;

    if (group->count < GROUP_COMPARED_MOST) {
        group->ids[group->count] = id;
    }
    group->count++;
}


static void group_revoke(uint64_t id, void *data)
{
    step_t  *step = data;

    if (step->result == STORE_OK) {
        step->result = step_revoke(step, id, 0, 0);
    }
}


static store_result_t step_group_revoke(step_t *step)
{
    store_result_t  result;

    step->result = STORE_OK;
    result = store_group_members(step->store, step->group, group_revoke, step);
    return result == STORE_OK ? step->result : result;
}


static store_result_t step_group_remove(step_t *step)
{
    size_t          i;
    group_t         group = { .count = 0 };
    store_result_t  result;

    result = store_group_members(step->store, step->group, group_collect, &group);

    if (result == STORE_OK && group.count > GROUP_COMPARED_MOST) {
        group.count = 0;
        result = step_group_revoke(step);
    }
    for (i = 0; i < group.count && result == STORE_OK; i++) {
        loss_scope_t  scope = { .user = group.ids[i] };

        step->user = group.ids[i];
        result = step_with_loss(step, &scope, step_group_leave);
    }

    return result == STORE_OK ? store_group_remove(step->store, step->group) : result;
}


store_result_t change_group_remove(change_t *change, uint64_t group)
{
    step_t  step = { .group = group };

    return change_run(change, &step, NULL, step_group_remove, 0);
}
