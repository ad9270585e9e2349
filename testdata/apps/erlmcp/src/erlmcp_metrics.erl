%% @doc What the node measures of itself, for the health document and for Prometheus.
-module(erlmcp_metrics).

-export([init/0, count_request/0, requests/0, values/0, system/0, prometheus/0]).

-define(KEY, {?MODULE, counters}).

init() ->
    persistent_term:put(?KEY, {counters:new(1, [write_concurrency]), erlang:monotonic_time(second)}).

count_request() ->
    {Counters, _} = persistent_term:get(?KEY),
    counters:add(Counters, 1, 1).

requests() ->
    {Counters, _} = persistent_term:get(?KEY),
    counters:get(Counters, 1).

values() ->
    {_, Start} = persistent_term:get(?KEY),
    Memory = maps:from_list([{memory(Kind), Bytes} || {Kind, Bytes} <- erlang:memory([total, processes, system, atom, binary, ets])]),
    Memory#{
        process_count => erlang:system_info(process_count),
        process_limit => erlang:system_info(process_limit),
        port_count => erlang:system_info(port_count),
        port_limit => erlang:system_info(port_limit),
        run_queue => erlang:statistics(run_queue),
        sessions => erlmcp_store:count(),
        requests_total => requests(),
        uptime_seconds => erlang:monotonic_time(second) - Start
    }.

memory(Kind) ->
    binary_to_atom(<<"memory_", (atom_to_binary(Kind))/binary>>).

system() ->
    #{
        otp_release => list_to_binary(erlang:system_info(otp_release)),
        erts_version => list_to_binary(erlang:system_info(version)),
        architecture => list_to_binary(erlang:system_info(system_architecture)),
        node => atom_to_binary(node()),
        os_pid => list_to_binary(os:getpid())
    }.

prometheus() ->
    Gauges = [["# TYPE erlmcp_", N, " gauge\nerlmcp_", N, " ", integer_to_binary(V), "\n"]
        || {Name, V} <- lists:sort(maps:to_list(values())), Name =/= requests_total, N <- [atom_to_binary(Name)]],
    [["# TYPE erlmcp_build_info gauge\nerlmcp_build_info{version=\"", erlmcp_app:version(), "\"} 1\n"],
        Gauges,
        ["# TYPE erlmcp_requests_total counter\nerlmcp_requests_total ", integer_to_binary(requests()), "\n"]].
