%% @doc The application: reads how it shall misbehave, starts the tree, and lets requests end before it stops.
-module(erlmcp_app).
-behaviour(application).

-export([start/2, prep_stop/1, stop/1, version/0]).

-define(DRAIN, 2000).

start(_Type, _Args) ->
    case erlmcp_fault:load() of
        ok -> start();
        {error, Reason} -> {error, Reason}
    end.

start() ->
    erlmcp_log:start(),
    erlmcp_fault:ignore_term(),
    erlmcp_fault:crash_later(),
    timer:sleep(erlmcp_fault:get(slow_start)),
    case erlmcp_fault:get(fail_start) of
        none ->
            erlmcp_metrics:init(),
            started(erlmcp_sup:start_link());
        error ->
            {error, told_to_fail};
        halt ->
            io:format(standard_error, "erlmcp was told to halt~n", []),
            erlang:halt(3)
    end.

started({ok, Pid}) ->
    {Ip, Port} = erlmcp_listener:address(),
    io:format("erlmcp ~s listens on ~s:~b~n", [version(), inet:ntoa(Ip), Port]),
    logger:notice("erlmcp ~s listens on ~s:~b", [version(), inet:ntoa(Ip), Port]),
    {ok, Pid};
started(Error) ->
    Error.

prep_stop(State) ->
    timer:sleep(erlmcp_fault:get(slow_stop)),
    erlmcp_listener:drain(?DRAIN),
    State.

stop(_State) ->
    io:format("erlmcp ~s stops~n", [version()]),
    erlmcp_log:stop().

version() ->
    case application:get_key(erlmcp, vsn) of
        {ok, Vsn} -> unicode:characters_to_binary(Vsn);
        undefined -> <<"unknown">>
    end.
