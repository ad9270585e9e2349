%% @doc The health document: ten checks of subsystems, metrics and what the node runs on.
-module(erlmcp_health).

-export([document/1, subsystems/1, worst/1, check/1, memory/2, limit/1]).

-define(FULL, 80).      % per cent of memory
-define(DISK_FULL, 98). % per cent of the disk
-define(DISK_LOW, 95).

%% @doc What each address asks for.
subsystems(all) -> [gproc, poolboy, tcps, disk, memory, database, transport, vm, application, supervisors];
subsystems(ready) -> [gproc, database, transport];
subsystems(live) -> [vm, memory];
subsystems(startup) -> [application, supervisors, gproc].

document(Scope) ->
    Checks = maps:from_list([{Name, checked(Name)} || Name <- subsystems(Scope)]),
    #{
        status => worst([Status || #{status := Status} <- maps:values(Checks)]),
        version => erlmcp_app:version(),
        checks => Checks,
        metrics => erlmcp_metrics:values(),
        system => erlmcp_metrics:system()
    }.

worst(Statuses) ->
    case {lists:member(unhealthy, Statuses), lists:member(degraded, Statuses)} of
        {true, _} -> unhealthy;
        {_, true} -> degraded;
        _ -> healthy
    end.

%% A subsystem that does not answer is as bad as one that says so.
checked(Name) ->
    try check(Name) of
        {Status, Message} -> #{status => Status, message => Message};
        Status -> #{status => Status}
    catch
        _:Reason -> #{status => unhealthy, message => iolist_to_binary(io_lib:format("~0tp", [Reason], [{chars_limit, 200}]))}
    end.

check(gproc) ->
    Name = {probe, self()},
    yes = erlmcp_registry:register_name(Name, self()),
    Found = erlmcp_registry:whereis_name(Name),
    ok = erlmcp_registry:unregister_name(Name),
    case Found =:= self() of
        true -> healthy;
        false -> {unhealthy, <<"a name was not found again">>}
    end;
check(poolboy) ->
    case erlmcp_pool:status() of
        #{free := 0, waiting := N} when N > 0 -> {degraded, iolist_to_binary([integer_to_binary(N), " wait for a worker"])};
        _ -> healthy
    end;
check(tcps) ->
    gate(erlmcp_tcps:status(), degraded);
check(disk) ->
    case erlmcp_disk:used() of
        unknown -> {degraded, <<"the space on the disk is not known">>};
        Used when Used >= ?DISK_FULL -> {unhealthy, percent(Used)};
        Used when Used >= ?DISK_LOW -> {degraded, percent(Used)};
        _ -> healthy
    end;
check(memory) ->
    memory(erlang:memory(total), limit(application:get_env(erlmcp, memory_limit, system)));
check(database) ->
    case erlmcp_fault:get(health) of
        healthy -> gate(erlmcp_database:status(), unhealthy);
        Status -> {Status, <<"connection to 127.0.0.1:5432 refused">>}
    end;
check(transport) ->
    {_, _} = erlmcp_listener:address(),
    healthy;
check(vm) ->
    case erlang:system_info(process_count) * 100 div erlang:system_info(process_limit) of
        Used when Used >= ?FULL -> {unhealthy, <<"too many processes">>};
        _ -> healthy
    end;
check(application) ->
    case lists:keymember(erlmcp, 1, application:which_applications(1000)) of
        true -> healthy;
        false -> {unhealthy, <<"not started">>}
    end;
check(supervisors) ->
    Trees = [erlmcp_sup, {via, erlmcp_registry, pool_sup}, erlmcp_monitor_sup, erlmcp_http_sup],
    case [T || T <- Trees, not whole(supervisor:count_children(T))] of
        [] -> healthy;
        Broken -> {unhealthy, iolist_to_binary(io_lib:format("children are missing in ~0tp", [Broken]))}
    end.

whole(Counts) ->
    proplists:get_value(specs, Counts) =:= proplists:get_value(active, Counts).

gate(ok, _) -> healthy;
gate(disabled, _) -> disabled;
gate({error, Why}, Status) -> {Status, Why}.

%% @doc The node's memory against a limit in bytes.
memory(_, unknown) ->
    healthy;
memory(Used, Limit) when Used * 100 < Limit * ?FULL ->
    healthy;
memory(Used, Limit) ->
    {unhealthy, percent(Used * 100 div Limit)}.

%% @doc The limit: the one that is set, else that of the control group, else that of the machine.
limit(Bytes) when is_integer(Bytes) ->
    Bytes;
limit(system) ->
    Group = first_number(["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"], "^([0-9]+)"),
    Machine = first_number(["/proc/meminfo"], "MemTotal:\\s+([0-9]+) kB"),
    case {Group, Machine} of
        {unknown, unknown} -> unknown;
        {unknown, Kb} -> Kb * 1024;
        {Bytes, unknown} -> Bytes;
        {Bytes, Kb} -> min(Bytes, Kb * 1024)
    end.

first_number([], _) ->
    unknown;
first_number([File | Files], Pattern) ->
    case file:open(File, [read, raw, binary]) of
        {ok, F} ->
            Text = file:read(F, 4096),
            file:close(F),
            case Text of
                {ok, B} ->
                    case re:run(B, Pattern, [{capture, all_but_first, binary}]) of
                        {match, [N]} -> binary_to_integer(N);
                        nomatch -> first_number(Files, Pattern)
                    end;
                _ ->
                    first_number(Files, Pattern)
            end;
        {error, _} ->
            first_number(Files, Pattern)
    end.

percent(N) ->
    iolist_to_binary([integer_to_binary(N), " % are used"]).
